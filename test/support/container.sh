#!/bin/sh
# Boots the systemd of a root, such as that of this machine, a second time, on a throw-away layer over it, and takes
# everything down again when standard input ends: so nothing outlives the test, however that ends. Prints `pid N`, the
# process id of systemd. FILE is copied to /tmp/COPY; without NODE, the one of the root is left as it is.
#
#   container.sh FOLDER NAME ROOT FILE COPY [NODE]
#
# The network and the users are those of this machine; process ids, mounts, host name, IPC and control groups are not.
set -eu

outside() {
  folder=$1 name=$2
  trap : TERM INT HUP
  groups=$(make_groups "$name")
  # --kill-child: the end of unshare is the end of PID 1, and with it of all its processes and mounts.
  boot_in "$groups" unshare --mount --cgroup --pid --ipc --uts --fork --kill-child --propagation private \
    sh "$0" inside "$@" &
  unshare=$!
  # Without one there is nothing to wait for: the end of this script tells.
  if pid=$(pid_of_child "$unshare"); then
    echo "pid $pid"
    read -r _ || :
  fi
  kill -KILL "$unshare" 2>/dev/null || :
  wait "$unshare" 2>/dev/null || :
  for group in $groups; do remove_group "$group"; done
  rmdir "$folder"
}

# A control group of its own in each hierarchy, below our own one where version 1 limits us, and at the top of version 2,
# where a group with processes cannot hand on its controllers. cpuset is left out: there, a group needs processors first.
make_groups() {
  while IFS=: read -r _ controllers path; do
    case "$controllers" in
      '') mount=$(mount_of cgroup2 '') path=/ ;;
      cpuset*) continue ;;
      *) mount=$(mount_of cgroup "${controllers#name=}") ;;
    esac
    [ -n "$mount" ] || continue
    group=$mount${path%/}/$1
    mkdir "$group" && echo "$group"
  done </proc/self/cgroup
}

# The mount point of a hierarchy: by type, and by what its path ends in, which is the custom everywhere.
mount_of() {
  while read -r _ mount type _; do
    [ "$type" = "$1" ] || continue
    case "$mount" in
      */"$2" | /sys/fs/cgroup) echo "$mount" && return ;;
      *) [ -n "$2" ] || { echo "$mount" && return; } ;;
    esac
  done </proc/mounts
}

boot_in() {
  for group in $1; do sh -c 'echo $PPID >"$1/cgroup.procs"' sh "$group"; done
  shift
  exec "$@" </dev/null
}

# Waits for as long as the process is there: a busy machine takes its time.
pid_of_child() {
  while [ -e "/proc/$1/task/$1/children" ]; do
    # The file has no line end, which read takes for a failure. Before it is unshare, the process has other children.
    read -r child _ 2>/dev/null <"/proc/$1/task/$1/children" || :
    [ -z "$child" ] || [ "$(cat "/proc/$1/comm")" != unshare ] || { echo "$child" && return; }
    sleep 0.1
  done
  return 1
}

remove_group() {
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    find "$1" -depth -type d -exec rmdir {} + 2>/dev/null && return
    # A process that was killed leaves its group a moment later.
    sleep 0.2
  done
}

inside() {
  folder=$1 lower=$3 file=$4 copy=$5 node=${6-}
  mount -t tmpfs -o mode=755,size=1g tmpfs "$folder"
  mkdir "$folder/upper" "$folder/work" "$folder/root"
  mount -t overlay -o "lowerdir=$lower,upperdir=$folder/upper,workdir=$folder/work" overlay "$folder/root"
  root=$folder/root
  mount_system "$root"
  mount_cgroups "$root/sys/fs/cgroup"
  mount_devices "$root/dev"
  empty_system "$root"
  [ -z "$node" ] || bind_node "$root/usr/local/bin" "$node"
  cp "$file" "$root/tmp/$copy"
  cd "$root"
  mkdir tmp/.old
  pivot_root . tmp/.old
  umount -l /tmp/.old && rmdir /tmp/.old
  # In a container systemd leaves this to whoever made it, and without it hands no credentials to a service.
  mount --make-rshared /
  exec env -i container=pgsluice-test LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    "$(systemd_of /)" --system --unit=multi-user.target --show-status=no
}

bind_node() {
  mkdir -p "$1"
  rm -f "$1/node" && : >"$1/node"
  mount --bind "$2" "$1/node"
}

mount_system() {
  mount -t proc -o nosuid,nodev,noexec proc "$1/proc"
  # What is set there is set for the whole machine.
  mount --bind "$1/proc/sys" "$1/proc/sys" && mount -o remount,bind,ro "$1/proc/sys"
  mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$1/sys"
  for place in run tmp var/tmp; do mount -t tmpfs tmpfs "$1/$place"; done
  chmod 755 "$1/run" && chmod 1777 "$1/tmp" "$1/var/tmp"
}

# The same hierarchies as outside; the root of each is our own group, because of the namespace.
mount_cgroups() {
  cgroups=$1
  if ! grep -q '^[0-9]*:[^:]' /proc/self/cgroup; then
    mount -t cgroup2 cgroup2 "$cgroups"
    return
  fi
  mount -t tmpfs -o mode=755 tmpfs "$cgroups"
  while IFS=: read -r _ controllers _; do
    case "$controllers" in
      '') mkdir "$cgroups/unified" && mount -t cgroup2 cgroup2 "$cgroups/unified" ;;
      cpuset*) ;;
      name=*) mkdir "$cgroups/${controllers#name=}" && mount -t cgroup -o "none,$controllers" cgroup "$cgroups/${controllers#name=}" ;;
      *) mkdir "$cgroups/$controllers" && mount -t cgroup -o "$controllers" cgroup "$cgroups/$controllers" ;;
    esac
  done </proc/self/cgroup
}

mount_devices() {
  mount -t tmpfs -o mode=755 tmpfs "$1"
  for device in null zero full random urandom tty; do
    : >"$1/$device" && mount --bind "/dev/$device" "$1/$device"
  done
  mkdir "$1/pts" "$1/shm"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$1/pts"
  mount -t tmpfs -o mode=1777 tmpfs "$1/shm"
  ln -s pts/ptmx "$1/ptmx" && ln -s /proc/self/fd "$1/fd"
}

# Nothing of what this machine itself starts, mounts or schedules: only a journal and a message bus.
empty_system() {
  : >"$1/etc/fstab"
  for folder in usr/lib/systemd lib/systemd etc/systemd; do
    [ -d "$1/$folder" ] || continue
    rm -rf "$1/$folder/system-generators" "$1/$folder"/system/*.wants "$1/$folder"/system/*.requires
  done
  rm -rf "$1/var/log/journal" "$1/etc/pgsluice" "$1/var/lib/pgsluice"
  units=$1/etc/systemd/system
  mkdir -p "$units/sockets.target.wants" "$units/sysinit.target.wants"
  for socket in systemd-journald.socket dbus.socket; do ln -s "/usr/lib/systemd/system/$socket" "$units/sockets.target.wants/"; done
  ln -s /usr/lib/systemd/system/systemd-journald.service "$units/sysinit.target.wants/"
  # The audit log is that of the whole machine.
  ln -sf /dev/null "$units/systemd-journald-audit.socket"
}

systemd_of() {
  for file in usr/lib/systemd/systemd lib/systemd/systemd; do
    [ -x "$1$file" ] && echo "$1$file" && return
  done
}

if [ "${1-}" = inside ]; then
  shift
  inside "$@"
else
  outside "$@"
fi
