# zsync_add_drop_in(<target>): compiles a target with <zsync/drop_in.hpp> first in every C++ file, and links it to zsync.
# The link of an executable or a shared library then fails if one of its objects, or a member that it takes from a
# static library, uses Asio's sockets, descriptors or timers and was compiled without the header. To be called in the
# directory of the target.
function(zsync_add_drop_in target)
    get_target_property(type ${target} TYPE)
    set(scope PRIVATE)
    if(type STREQUAL "INTERFACE_LIBRARY")
        set(scope INTERFACE)
    endif()
    target_link_libraries(${target} ${scope} zsync::zsync)
    target_compile_options(${target} ${scope} "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-include zsync/drop_in.hpp>")
    if(NOT type MATCHES "^(EXECUTABLE|SHARED_LIBRARY|MODULE_LIBRARY)$")
        return()
    endif()
    # The linker's map names what it has taken, down to the members of static libraries.
    set(map $<TARGET_FILE:${target}>.map)
    target_link_options(${target} PRIVATE "LINKER:-Map=${map}")
    if(CMAKE_GENERATOR MATCHES "Ninja") # the directory that the linker's names are relative to
        set(linked_in ${CMAKE_BINARY_DIR})
    else()
        set(linked_in ${CMAKE_CURRENT_BINARY_DIR})
    endif()
    add_custom_command(TARGET ${target} POST_BUILD
        COMMAND ${CMAKE_COMMAND} -D "NM=${CMAKE_NM}" -D "MAP=${map}" -D "PRODUCT=$<TARGET_FILE:${target}>"
            -P ${ZSYNC_CHECK_DROP_IN}
        WORKING_DIRECTORY ${linked_in}
        COMMENT "Checking that all of ${target} was compiled with <zsync/drop_in.hpp>"
        VERBATIM)
endfunction()

set(ZSYNC_CHECK_DROP_IN ${CMAKE_CURRENT_LIST_DIR}/check_drop_in.cmake CACHE INTERNAL "The check of a link")
