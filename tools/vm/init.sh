#!/bin/busybox sh
# The first process of a machine: mounts what a Linux host has, runs /etc/run, prints its status, and
# powers off.
# The kernel's messages go to its console, everything else to BPFNS_TTY (from the kernel's command line).
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
if [ "$1" != mounted ]; then
	# The initial root cannot be pivoted or unmounted; a bind mount of it can, as on a host.
	/bin/busybox mkdir -p /proc /sys /dev /tmp /run /root /mnt /var/lib /var/tmp /newroot
	/bin/busybox chmod 1777 /var/tmp
	/bin/busybox mount --bind / /newroot
	cd /newroot || exit 1
	/bin/busybox mount --move . /
	exec /bin/busybox chroot . /init mounted
fi
/bin/busybox --install -s 2>/dev/null
mount -t devtmpfs dev /dev
exec >"/dev/$BPFNS_TTY" 2>&1 </dev/null
stty -F "/dev/$BPFNS_TTY" -opost
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs -o mode=0755 run /run
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t securityfs securityfs /sys/kernel/security
mount -t bpf -o mode=0755 bpf /sys/fs/bpf
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
	echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
# Debian's default, 3, denies perf events to everyone without all of root's rights.
echo 2 >/proc/sys/kernel/perf_event_paranoid
ln -s /proc/self/fd /dev/fd
ip link set lo up
depmod
while read -r module || [ -n "$module" ]; do modprobe "$module"; done </etc/modules
cd /bpfns || exit 1
ulimit -n 1048576 # as systemd has it
# By path, since busybox's shell prefers its own commands.
/usr/bin/setsid /usr/bin/sh -e /etc/run
echo "status $?"
sync
poweroff -f
