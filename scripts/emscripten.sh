#!/usr/bin/env bash
# Sets up Emscripten in the folder DEST from Debian's packages: a compiler and its prebuilt system libraries.
#   emscripten.sh DEST      (environment as for debian.sh; DEST cannot be moved afterwards)
set -euo pipefail
dest=$(realpath -m "$1")
llvm=19
"$(dirname "$0")/debian.sh" packages "$dest" emscripten binaryen node-acorn clang-$llvm lld-$llvm llvm-$llvm \
  libllvm$llvm libclang-cpp$llvm libclang-common-$llvm-dev libzstd1 libz3-4 libffi8 libedit2 libtinfo6 libbsd0 libmd0 \
  liblzma5 libxml2 libicu76

emscripten=$dest/usr/share/emscripten
# Node finds a package's modules in usr/share/nodejs by this name; `emcc --cflags` compiles the program.
ln -s nodejs "$dest/usr/share/node_modules"
mkdir -p "$emscripten/test"
printf 'int main() { return 0; }\n' >"$emscripten/test/hello_world.c"
cat >"$emscripten/.emscripten" <<END
LLVM_ROOT = '$dest/usr/lib/llvm-$llvm/bin'
BINARYEN_ROOT = '$dest/usr'
NODE_JS = 'node'
CACHE = '$emscripten/cache'
END

# Only compiling, linking and running a program tells that all of this fits together.
smoke=$(mktemp -d)
trap 'rm -rf "$smoke"' EXIT
echo "compiling a program"
cat >"$smoke/smoke.cpp" <<'END'
#include <cstdio>
#include <stdexcept>
int main() {
  try {
    throw std::runtime_error("Emscripten works");
  } catch (const std::exception& error) {
    std::puts(error.what());
  }
}
END
EM_CONFIG=$emscripten/.emscripten "$emscripten/em++" -O1 -fwasm-exceptions "$smoke/smoke.cpp" -o "$smoke/smoke.js"
node "$smoke/smoke.js"
