# How a library of this tree is declared: compiled once, linked shared and static, installed with its
# pkg-config file and its part of the CMake package.
#
#   careforall_library(careforall-x SOURCES a.c b.c
#       LINK <third-party targets>          never visible to a consumer of the shared library
#       USES <libraries of this tree>       public
#       DESCRIPTION "..." PC_REQUIRES_PRIVATE "..." PC_LIBS_PRIVATE "...")
#
# makes the targets careforall-x (shared, with BUILD_SHARED_LIBS) and careforall-x_static, and the name
# careforall::x (careforall::careforall for the first), which is the shared one when there is one.

function(careforall_library name)
    cmake_parse_arguments(ARG "" "DESCRIPTION;PC_REQUIRES_PRIVATE;PC_LIBS_PRIVATE" "SOURCES;LINK;USES" ${ARGN})
    string(REGEX REPLACE "^careforall-" "" component ${name})

    add_library(${name}_objects OBJECT ${ARG_SOURCES})
    careforall_warnings(${name}_objects)
    target_include_directories(${name}_objects PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
    if(NOT name STREQUAL "careforall")   # careforall gives third-party paths to single files only
        target_link_libraries(${name}_objects PRIVATE ${ARG_LINK})
    endif()

    set(variants ${name}_static)
    add_library(${name}_static STATIC $<TARGET_OBJECTS:${name}_objects>)
    set_target_properties(${name}_static PROPERTIES OUTPUT_NAME ${name} EXPORT_NAME ${component}_static)
    add_library(careforall::${component}_static ALIAS ${name}_static)
    set(default ${name}_static)

    if(BUILD_SHARED_LIBS)
        set(map ${PROJECT_SOURCE_DIR}/src/careforall.map)
        add_library(${name} SHARED $<TARGET_OBJECTS:${name}_objects>)
        # Before 1.0 a minor version may break the ABI, so it is part of the name.
        set_target_properties(${name} PROPERTIES
            EXPORT_NAME ${component}
            VERSION ${PROJECT_VERSION}
            SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
            LINK_DEPENDS ${map})
        target_link_options(${name} PRIVATE LINKER:--version-script=${map})
        if(NOT CAREFORALL_SANITIZE)   # its runtime is found in the program
            target_link_options(${name} PRIVATE LINKER:-z,defs)
        endif()
        list(APPEND variants ${name})
        set(default ${name})
    endif()
    add_library(careforall::${component} ALIAS ${default})

    foreach(variant IN LISTS variants)
        target_include_directories(${variant} INTERFACE
            $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
            $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
        target_link_libraries(${variant} PRIVATE ${ARG_LINK})
        foreach(used IN LISTS ARG_USES)
            if(variant STREQUAL "${name}_static")
                target_link_libraries(${variant} PUBLIC ${used}_static)
            else()
                target_link_libraries(${variant} PUBLIC ${used})
            endif()
        endforeach()
    endforeach()

    careforall_install_library()
endfunction()

# The second half of careforall_library: uses the caller's variables.
function(careforall_install_library)
    set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/careforall)
    foreach(variant IN LISTS variants)
        set(linkage shared)
        if(variant STREQUAL "${name}_static")
            set(linkage static)
        endif()
        install(TARGETS ${variant} EXPORT ${name}-${linkage}-targets
                LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
                ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
        install(EXPORT ${name}-${linkage}-targets NAMESPACE careforall:: DESTINATION ${package_dir})
    endforeach()

    # Paths are relative to the file itself, so that an installed tree can be moved.
    file(RELATIVE_PATH pc_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
    string(REGEX REPLACE "/$" "" pc_prefix ${pc_prefix})
    set(pc_requires)
    foreach(used IN LISTS ARG_USES)
        list(APPEND pc_requires "${used} = ${PROJECT_VERSION}")
    endforeach()
    list(JOIN pc_requires ", " pc_requires)
    configure_file(${PROJECT_SOURCE_DIR}/pkgconfig/library.pc.in
                   ${PROJECT_BINARY_DIR}/pkgconfig/${name}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/pkgconfig/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

# Give the shared library `name` a private copy of the stateless files src/util/<file>.c that it calls.
function(careforall_private_util name)
    if(NOT BUILD_SHARED_LIBS)
        return()
    endif()
    set(sources ${ARGN})
    list(TRANSFORM sources PREPEND ${PROJECT_SOURCE_DIR}/src/util/)
    list(TRANSFORM sources APPEND .c)
    add_library(${name}_util STATIC ${sources})
    careforall_warnings(${name}_util)
    target_include_directories(${name}_util PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:${name}_util>)
endfunction()
