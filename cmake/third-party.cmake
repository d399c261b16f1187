# Targets for the third-party code that scripts/setup.mjs obtained: WIMM_LIBRARIES holds this variant's static libraries,
# or WIMM_ZLIB_SOURCE the source of the one that reading weight files needs, and WIMM_TOOLS the prefix with flatc and the
# header-only libraries.
if(WIMM_WEIGHTS_ONLY)
  set(sources adler32 crc32 inffast inflate inftrees zutil)
  list(TRANSFORM sources REPLACE "(.+)" "${WIMM_ZLIB_SOURCE}/\\1.c")
  add_library(wimm_zlib STATIC ${sources})
  target_include_directories(wimm_zlib SYSTEM PUBLIC ${WIMM_ZLIB_SOURCE})
  target_compile_options(wimm_zlib PRIVATE -w -DZ_HAVE_UNISTD_H)
else()
  foreach(name xnnpack zlib)
    add_library(wimm_${name} STATIC IMPORTED)
    set_target_properties(wimm_${name} PROPERTIES IMPORTED_LOCATION ${WIMM_LIBRARIES}/libwimm_${name}.a)
    target_include_directories(wimm_${name} INTERFACE ${WIMM_LIBRARIES}/include)
  endforeach()
endif()
if(NOT EMSCRIPTEN AND NOT WIMM_WEIGHTS_ONLY)
  find_package(Threads REQUIRED)
  # Operators that are never called leave their micro-kernels undefined; the linker drops both.
  target_link_options(wimm_xnnpack INTERFACE -Wl,--gc-sections)
  target_link_libraries(wimm_xnnpack INTERFACE Threads::Threads m)
endif()

# One include folder each: where the prefix is /usr, its other headers must not reach the WebAssembly build.
foreach(name rapidjson flatbuffers doctest)
  set(include ${PROJECT_BINARY_DIR}/include-${name})
  file(MAKE_DIRECTORY ${include})
  file(CREATE_LINK ${WIMM_TOOLS}/include/${name} ${include}/${name} SYMBOLIC)
  add_library(${name} INTERFACE)
  target_include_directories(${name} SYSTEM INTERFACE ${include})
endforeach()
add_library(wimm_rapidjson ALIAS rapidjson)
set(WIMM_FLATC ${WIMM_TOOLS}/bin/flatc)
