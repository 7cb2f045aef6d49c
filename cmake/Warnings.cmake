# The warning set of every target of this tree; `careforall_warnings(target)` switches it on.
include(CheckCCompilerFlag)

set(CAREFORALL_WARNINGS
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes
    -Wmissing-prototypes -Wmissing-declarations -Wold-style-definition -Wpointer-arith -Wwrite-strings
    -Wundef -Wvla -Wformat=2)

foreach(flag IN ITEMS -Wduplicated-cond -Wrestrict)
    string(MAKE_C_IDENTIFIER "CAREFORALL_HAS${flag}" result)
    check_c_compiler_flag(${flag} ${result})
    if(${result})
        list(APPEND CAREFORALL_WARNINGS ${flag})
    endif()
endforeach()

function(careforall_warnings target)
    target_compile_options(${target} PRIVATE ${CAREFORALL_WARNINGS})
    if(CAREFORALL_WERROR)
        target_compile_options(${target} PRIVATE -Werror)
    endif()
endfunction()
