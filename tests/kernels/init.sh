#!/bin/busybox sh
# shellcheck shell=dash
# The first process of a machine: loads the modules, mounts the disks, runs guest.py and powers off. The kernel's
# command line gives SOURCE, where the second disk is mounted, and ARGUMENTS of guest.py.
set -e
busybox=/bin/busybox
for module in /modules/*.ko; do $busybox insmod "$module"; done
$busybox mount -t devtmpfs dev /dev
$busybox mount -t ext4 /dev/vda /root
$busybox mkdir -p "/root/$SOURCE"
$busybox mount -t ext4 -o ro /dev/vdb "/root/$SOURCE"
$busybox mount --move /dev /root/dev
cd /root
$busybox mount -t proc proc proc
$busybox mount -t sysfs sys sys
$busybox mount -t cgroup2 cgroup sys/fs/cgroup
$busybox mount -t tmpfs -o nosuid,nodev run run
$busybox mount -t tmpfs -o nosuid,nodev,mode=1777 tmp tmp
$busybox mkdir dev/shm
$busybox mount -t tmpfs -o nosuid,nodev,mode=1777 shm dev/shm
$busybox ln -s /proc/self/fd dev/fd
$busybox ip link set lo up
# Not exec: the first process has to reap whatever is orphaned.
exec $busybox switch_root /root /bin/busybox sh -c \
  "cd '$SOURCE'; python3 -B tests/kernels/guest.py $ARGUMENTS; /bin/busybox poweroff -f"
