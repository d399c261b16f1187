#!/usr/bin/env bash
# Fetches signed packages and sources of a Debian release through a private apt configuration; installs nothing.
#   debian.sh packages DEST NAME…         unpacks packages into DEST, their programs tied to DEST's own C library
#   debian.sh sources DEST NAME…         downloads their upstream tarballs into DEST
# Environment: WIMM_CACHE (the package index is kept there), WIMM_SUITE, WIMM_DEBIAN_MIRROR, WIMM_DEBIAN_KEYRING.
set -euo pipefail
command=$1 dest=$(realpath -m "$2")
shift 2

fail() { echo "error: $*" >&2; exit 1; }

configured_mirror() {
  { cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null || true; } |
    sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb +(\[[^]]*\] +)?([^ ]+) .*/\2/p' | grep -v security | head -1
}

for tool in apt-get dpkg-deb readelf; do
  command -v $tool >/dev/null || fail "$tool is missing (Debian packages: apt, dpkg, binutils); without apt, see the head of scripts/setup.mjs"
done
[ "$(dpkg --print-architecture)" = amd64 ] || fail "Debian's programs are set up on amd64 alone: see the head of scripts/setup.mjs"
suite=${WIMM_SUITE:?}
mirror=${WIMM_DEBIAN_MIRROR:-$(configured_mirror || true)}
[ -n "$mirror" ] || fail "no Debian mirror is configured in /etc/apt: set WIMM_DEBIAN_MIRROR, or see the head of scripts/setup.mjs"
keyring=${WIMM_DEBIAN_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}
[ -r "$keyring" ] || fail "$keyring is missing: install debian-archive-keyring, or set WIMM_DEBIAN_KEYRING"

# An apt of our own: its own sources, index and state, the system's untouched. Signatures are always checked;
# only the dates are not, since clocks and mirrors lag.
apt=${WIMM_CACHE:?}/apt-$suite
mkdir -p "$apt"/{lists/partial,archives/partial,etc/apt.conf.d,etc/preferences.d,etc/trusted.gpg.d,log}
: >"$apt/status"
sources=$(for type in deb deb-src; do echo "$type [arch=amd64 signed-by=$keyring] $mirror $suite main"; done)
if [ "$sources" != "$(cat "$apt/etc/sources.list" 2>/dev/null)" ]; then
  rm -f "$apt/updated"
  echo "$sources" >"$apt/etc/sources.list"
fi
cat >"$apt/apt.conf" <<END
Dir::State "$apt"; Dir::State::status "$apt/status"; Dir::Cache "$apt"; Dir::Log "$apt/log"; Dir::Etc "$apt/etc";
Dir::Etc::sourcelist "$apt/etc/sources.list"; Dir::Etc::sourceparts "-";
APT::Architecture "amd64"; APT::Architectures { "amd64"; }; APT::Sandbox::User "$(id -un)";
Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache ""; Acquire::GzipIndexes "true";
Acquire::Languages "none"; Acquire::Retries "3"; Acquire::Check-Valid-Until "false"; Acquire::Check-Date "false";
Acquire::AllowInsecureRepositories "false"; APT::Get::AllowUnauthenticated "false";
END
export APT_CONFIG=$apt/apt.conf
if [ -z "$(find "$apt/updated" -mmin -60 2>/dev/null)" ]; then
  echo "reading the package index of $mirror"
  apt-get -qq -o APT::Update::Error-Mode=any update || fail "cannot read the package index of $mirror ($suite)"
  touch "$apt/updated"
fi

mkdir -p "$dest"
if [ "$command" = sources ]; then
  cd "$dest"
  exec apt-get -qq source --download-only --tar-only "$@"
fi

debs=$dest/debs
mkdir "$debs"
echo "downloading $*"
(cd "$debs" && apt-get -qq download "$@" libc6 libstdc++6 libgcc-s1 zlib1g patchelf) || fail "download from $mirror failed"
for deb in "$debs"/*.deb; do
  echo "unpacking $(basename "$deb")"
  dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dest" --exclude='./usr/share/doc/*/[!c]*' \
    --exclude='./usr/share/doc/*/changelog*' --exclude=./usr/share/man --exclude=./usr/share/locale \
    --exclude=./usr/share/emscripten/test --exclude='*/gconv' --exclude='*san_rt*.a' --exclude='*libsanitizer*' \
    --exclude='*/wasm32-emscripten/*pic' --exclude='*/wasm32-emscripten/lto'
done
rm -r "$debs"

# Tie the programs to the folder's own C library, which is newer than the system's may be. A library that brings a
# RUNPATH of its own would ignore the program's, and load the system's libraries.
lib=$dest/usr/lib/x86_64-linux-gnu
loader=$lib/ld-linux-x86-64.so.2
cp "$dest/usr/bin/patchelf" "$dest/patchelf"
echo "tying programs to $lib"
patch_elf() { "$loader" --library-path "$lib" "$dest/patchelf" "$@"; }
is_program() { [ -f "$1" ] && [ ! -L "$1" ] && readelf -l "$1" 2>/dev/null | grep -q 'program interpreter'; }
for program in "$dest"/usr/bin/* "$dest"/usr/lib/llvm-*/bin/*; do
  is_program "$program" || continue
  patch_elf --set-interpreter "$loader" --force-rpath --set-rpath "$lib:$(echo "$dest"/usr/lib/llvm-*/lib)" "$program"
done
for library in "$lib"/*.so.*; do
  [ -L "$library" ] || ! readelf -d "$library" 2>/dev/null | grep -q RUNPATH ||
    patch_elf --force-rpath --set-rpath '$ORIGIN' "$library"
done
rm "$dest/patchelf"
