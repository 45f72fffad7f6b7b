"""Clock: the machine's time follows a reference."""

from dgxcert import requirement
from dgxcert.probes.host import clock


@requirement(
    "CLOCK-SYNCHRONISED",
    why="With a wrong time the Hub's certificates are refused, and a verdict carries a wrong date.",
    remedy=(
        "Look at it: timedatectl timesync-status; chronyc tracking",
        "Switch it on: sudo timedatectl set-ntp true",
        "Without Internet: name the lab's time server in /etc/systemd/timesyncd.conf (NTP=), then: "
        "sudo systemctl restart systemd-timesyncd",
    ),
    stage="host",
)
def test_the_clock_follows_a_reference(profile, evidence):
    found = clock.read()
    synchronised = evidence.record("clock is synchronised", found.synchronised, source="adjtimex(2)")
    assert synchronised.holds()
    error = evidence.record("largest possible error", found.max_error_s, unit="s", source="maxerror of adjtimex(2)")
    assert error <= profile.limit("clock.error")
