# The layer check must reject bad_tree, naming each line of expected_violations.txt and no other.
execute_process(
    COMMAND ${CMAKE_COMMAND} -D ROOT=${CMAKE_CURRENT_LIST_DIR}/bad_tree -P ${CHECK}
    RESULT_VARIABLE result ERROR_VARIABLE output)
file(READ ${CMAKE_CURRENT_LIST_DIR}/expected_violations.txt expected)
string(FIND "${output}" "${expected}" at)
if(result EQUAL 0 OR NOT at EQUAL 0 OR NOT output MATCHES "10 violations")
    message(FATAL_ERROR "result ${result}, expected\n${expected}\nand 10 violations, got\n${output}")
endif()
