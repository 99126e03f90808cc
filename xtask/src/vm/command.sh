# What vm.service runs: /vm/command, with the serial ports that init.sh describes.

. /vm/settings
say() { echo "$*" >$status; }

say "booted $(cut -d' ' -f1 /proc/uptime)"
# Raw: the terminal must not turn \n into \r\n, nor echo, nor wait for lines.
stty -F $out raw -echo
stty -F $err raw -echo
sh /vm/command </dev/null >$out 2>$err
say "exit $?"
sync
busybox reboot -f
