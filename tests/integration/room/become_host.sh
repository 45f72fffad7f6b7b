#!/bin/sh
# Becomes a host of a simulated room: the first process in network, mount, pid, uts and ipc namespaces of its own.
#
#   become_host.sh GIVEN NAME LAB BASE_PYTHON PACKAGES TESTS
#
# GIVEN holds what only this host has (hosts.py writes it), LAB what all hosts share.
set -eu
given=$1 name=$2 lab=$3 base=$4 packages=$5 tests=$6
home_size='' ends='' # the settings of one host
# shellcheck source=/dev/null
. "$given/settings"

over() { # a writable layer of this host's own over a folder
  mkdir -p "/mnt/$2/upper" "/mnt/$2/work"
  mount -t overlay room -o "lowerdir=$1,upperdir=/mnt/$2/upper,workdir=/mnt/$2/work" "$1"
}
shown() { # a folder of the computer that plays, read-only
  mkdir -p "$2"
  mount --bind "$1" "$2"
  mount -o remount,bind,ro "$2"
}

mount --make-rprivate /
mount -t tmpfs -o size=64m,mode=755 room /mnt
over /etc etc
rm -f /etc/ssh/ssh_host_* # of the computer that plays
cp -R "$given/etc/." /etc/
chmod 640 /etc/shadow
chmod 440 /etc/sudoers.d/room
chmod 600 /etc/ssh/ssh_host_ed25519_key
hostname "$name"

# The lab's environment, which the hosts share: its Python plays this host's machine (played_machine.py).
mount -t tmpfs -o mode=755 room /run
mkdir -p /run/sshd /run/lock
cp -R "$given/machine" /run/machine
chmod -R a+rX /run/machine
install -d -m 1777 /run/machine/played
mount -t tmpfs -o mode=755 room /opt
mkdir -p /opt/lab/python
mount -t overlay room -o "ro,lowerdir=$lab/python:$base" /opt/lab/python
shown "$lab/environment" /opt/lab/environment
shown "$packages" /opt/lab/packages
shown "$tests" /opt/lab/tests
shown "$lab/driver" /opt/lab/driver

mount -t tmpfs -o "size=$home_size,mode=755" room /home
for user in lab dgx; do
  cp -R "$given/home/$user" /home/
  chown -R "$user:$user" "/home/$user"
  chmod -R go-rwx "/home/$user"
done
[ "$home_size" != 400k ] || dd if=/dev/zero of=/home/filled bs=4k status=none 2>/dev/null || true
cat /proc/sys/kernel/random/uuid >/mnt/boot_id
mount --bind /mnt/boot_id /proc/sys/kernel/random/boot_id
mount -t tmpfs -o size=512m,mode=1777 room /dev/shm
mount -t tmpfs -o mode=1777 room /var/tmp
mount -t tmpfs -o mode=755 room /root
# Its library is found by the path that the interpreter was built for, which may be in what was just hidden.
[ "$base" = /usr ] || [ -d "$base" ] || { mkdir -p "$base" && mount --bind /opt/lab/python "$base"; }
[ ! -e "$given/no-python" ] || {
  over /usr/bin bin
  rm -f /usr/bin/python* /usr/local/bin/python*
}
cd /
mount -t tmpfs -o size=512m,mode=1777 room /tmp # last: what is given may lie there

case $ends in
  hidden) exec sleep infinity ;; # nothing listens
  dies) # when its validation works: the cable goes first, as of a host that lost its power
    /usr/sbin/sshd -D -e &
    until [ -e /run/machine/played/works ]; do sleep 0.05; done
    sleep 0.5
    ip link set eth0 down
    exit 1
    ;;
esac
exec /usr/sbin/sshd -D -e
