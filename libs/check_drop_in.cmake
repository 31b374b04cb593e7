# The check that zsync_add_drop_in() adds to a link: cmake -D NM=nm -D MAP=<linker's map> -D PRODUCT=<what was linked> -P
# Fails, and removes the product, if an object in it names a service that <zsync/drop_in.hpp> replaces, but not the
# marker of that header.
cmake_minimum_required(VERSION 3.22)

set(replaced "reactive_socket_service|reactive_descriptor_service|deadline_timer_service")
set(marker "agrees_with_drop_in")

# The maps of GNU ld, gold, lld and mold all name what they took as path.o or path.a(member).
file(STRINGS "${MAP}" lines REGEX "\\.(o|obj|a\\([^()]+\\))")
foreach(line IN LISTS lines)
    string(REGEX MATCHALL "[^ \t()]+\\.a\\([^()]+\\)|[^ \t()]+\\.(o|obj)" found "${line}")
    list(APPEND inputs ${found})
endforeach()
list(REMOVE_DUPLICATES inputs)
foreach(input IN LISTS inputs)
    if(input MATCHES "^(.+\\.a)\\((.+)\\)$")
        set(file "${CMAKE_MATCH_1}")
        set(taken "${CMAKE_MATCH_1}:${CMAKE_MATCH_2}") # as nm has it
    else()
        set(file "${input}")
        set(taken "${input}")
    endif()
    if(EXISTS "${file}")
        list(APPEND files "${file}")
        list(APPEND all_taken "${taken}")
    endif()
endforeach()
list(REMOVE_DUPLICATES files)
if(NOT files)
    message(FATAL_ERROR "zsync: ${MAP} names no object: this linker's map cannot be read")
endif()

set(symbols "${MAP}.symbols")
execute_process(COMMAND ${NM} -A ${files} OUTPUT_FILE "${symbols}" ERROR_QUIET RESULT_VARIABLE result)
if(NOT result EQUAL 0)
    message(FATAL_ERROR "zsync: ${NM} failed: ${result}")
endif()
file(STRINGS "${symbols}" lines REGEX "${replaced}|${marker}")
file(REMOVE "${symbols}")
foreach(line IN LISTS lines)
    # "object: address kind symbol", where the object may be archive:member
    string(REGEX MATCH "^(.+\\.(o|obj)):" unused "${line}")
    set(object "${CMAKE_MATCH_1}")
    if(line MATCHES "${marker}")
        list(APPEND marked "${object}")
    else()
        list(APPEND named "${object}")
    endif()
endforeach()
list(REMOVE_DUPLICATES named)

foreach(object IN LISTS named)
    if(object IN_LIST all_taken AND NOT object IN_LIST marked)
        string(APPEND offenders "\n  ${object}")
    endif()
endforeach()
if(offenders)
    file(REMOVE "${PRODUCT}")
    message(FATAL_ERROR
        "zsync: these use Asio's sockets, descriptors or timers and were compiled without <zsync/drop_in.hpp>, "
        "while ${PRODUCT} was compiled with it:${offenders}\nCompile them with it: zsync_add_drop_in(<their target>), "
        "or -include zsync/drop_in.hpp.")
endif()
