#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs the README's test command on another version of Debian, in a folder that debootstrap fills:
#   debian.sh SUITE [FOLDER [COMMAND...]]      for example debian.sh trixie
# As root. What is tested is HEAD, with ../shared beside it where there is one. A folder that is
# already there is used again, with what was built in it. COMMAND runs instead, in the checkout.
# DEBIAN_MIRROR says where the packages come from; without it, this machine's own mirror is used.
set -euo pipefail

if [ $# = 0 ] || [ "$(id -u)" != 0 ]; then
  echo "usage, as root: $0 SUITE [FOLDER [COMMAND...]]" >&2
  exit 2
fi
suite=$1
folder=$(realpath -m "${2:-/var/tmp/mnv3-debian-$suite}")
command=("${@:3}")
[ ${#command[@]} != 0 ] || command=(.ci/run)
root=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)

# shellcheck disable=SC2016
own=$(apt-get indextargets --format '$(SITE)' 'Label: Debian' | head -n 1 || true)
mirror=${DEBIAN_MIRROR:-${own:-http://deb.debian.org/debian}}

if [ ! -e "$folder" ]; then
  rm -rf "$folder.part"
  debootstrap --variant=minbase "$suite" "$folder.part" "$mirror"
  mv "$folder.part" "$folder"
fi

# The build stays; sources that are gone must go. -m: an older commit's files count as changed, too.
checkout=$folder/root/mnv3
mkdir -p "$checkout"
find "$checkout" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
git -C "$root" archive HEAD | tar -x -m -C "$checkout"
rm -rf "$folder/root/shared"
if [ -d "$root/../shared" ]; then
  cp -r "$root/../shared/." "$folder/root/shared"
fi

# The mounts are seen by this command only and go with it.
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# shellcheck disable=SC2016
exec unshare --mount bash -euc '
  folder=$1
  shift
  mount -t proc proc "$folder/proc"
  mount --rbind /dev "$folder/dev"
  exec chroot "$folder" sh -euc "cd /root/mnv3; exec \"\$@\"" sh "$@"
' bash "$folder" "${command[@]}"
