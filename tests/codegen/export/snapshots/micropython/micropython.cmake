# kws as a module of the firmware: cmake -DUSER_C_MODULES=... with this file, or one that includes several.
add_library(usermod_kws INTERFACE)
target_sources(usermod_kws INTERFACE
  ${CMAKE_CURRENT_LIST_DIR}/src/kws_micropython.c
  ${CMAKE_CURRENT_LIST_DIR}/src/kws.c
  ${CMAKE_CURRENT_LIST_DIR}/src/kws_selftest.c
)
target_include_directories(usermod_kws INTERFACE ${CMAKE_CURRENT_LIST_DIR}/include)
target_compile_definitions(usermod_kws INTERFACE KWS_SELFTEST KWS_HOOK)
set_source_files_properties(${CMAKE_CURRENT_LIST_DIR}/src/kws.c PROPERTIES COMPILE_OPTIONS -O2)
target_link_libraries(usermod INTERFACE usermod_kws)
