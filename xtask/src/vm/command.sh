# What vm.service runs: /vm/command, with the serial ports that init.sh describes.

say() { echo "$*" >/dev/ttyS3; }

say "booted $(cut -d' ' -f1 /proc/uptime)"
# Raw: the terminal must not turn \n into \r\n, nor echo, nor wait for lines.
stty -F /dev/ttyS1 raw -echo
stty -F /dev/ttyS2 raw -echo
sh /vm/command </dev/null >/dev/ttyS1 2>/dev/ttyS2
say "exit $?"
sync
busybox reboot -f
