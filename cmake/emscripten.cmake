# CMake toolchain: the Emscripten that `npm run setup` found or made. Files are compiled by clang itself with the flags
# that emcc gives it, since emcc's start in Python takes longer than most files; emcc links.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES WIMM_VARIANT WIMM_EMSCRIPTEN WIMM_RELAXED_SIMD WIMM_THREADS)
if(NOT WIMM_EMSCRIPTEN)
  include(${CMAKE_CURRENT_LIST_DIR}/../build/setup/${WIMM_VARIANT}.cmake)
endif()
# An Emscripten with its own configuration beside it is not led astray by the environment's.
if(EXISTS ${WIMM_EMSCRIPTEN}/.emscripten)
  set(ENV{EM_CONFIG} ${WIMM_EMSCRIPTEN}/.emscripten)
  set(environment "${CMAKE_COMMAND} -E env EM_CONFIG=${WIMM_EMSCRIPTEN}/.emscripten")
endif()
include(${WIMM_EMSCRIPTEN}/cmake/Modules/Platform/Emscripten.cmake)

set(WIMM_WASM_FLAGS -fwasm-exceptions -msimd128)
if(WIMM_RELAXED_SIMD)
  list(APPEND WIMM_WASM_FLAGS -mrelaxed-simd)
endif()
if(WIMM_THREADS)
  list(APPEND WIMM_WASM_FLAGS -pthread)
endif()
execute_process(COMMAND ${WIMM_EMSCRIPTEN}/emcc --cflags ${WIMM_WASM_FLAGS}
  OUTPUT_VARIABLE cflags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${WIMM_EMSCRIPTEN}/em-config LLVM_ROOT
  OUTPUT_VARIABLE llvm OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)

set(CMAKE_C_FLAGS_INIT "${cflags}")
set(CMAKE_CXX_FLAGS_INIT "${cflags}")
set(CMAKE_C_COMPILE_OBJECT "${llvm}/clang <DEFINES> <INCLUDES> <FLAGS> -o <OBJECT> -c <SOURCE>")
set(CMAKE_CXX_COMPILE_OBJECT "${llvm}/clang++ <DEFINES> <INCLUDES> <FLAGS> -o <OBJECT> -c <SOURCE>")
foreach(language C CXX)
  set(CMAKE_${language}_ARCHIVE_CREATE "${llvm}/llvm-ar qcs <TARGET> <OBJECTS>")
  set(CMAKE_${language}_ARCHIVE_FINISH "")
endforeach()
# Libraries that copy and fill memory by an instruction; code of our own copies little by itself, which is faster.
string(JOIN " " link_flags ${WIMM_WASM_FLAGS} -mbulk-memory)
set(CMAKE_CXX_LINK_EXECUTABLE
  "${environment} ${WIMM_EMSCRIPTEN}/em++ ${link_flags} <LINK_FLAGS> <OBJECTS> -o <TARGET> <LINK_LIBRARIES>")
