"""Clock: the system time is synchronised to a reference."""

from dgxcert import requirement
from dgxcert.probes.host import clock


@requirement(
    "CLOCK-SYNCHRONISED",
    title="The clock is synchronised to a reference",
    why="With a wrong time TLS to the Hugging Face Hub fails, so no model downloads, and a verdict has a wrong date.",
    remedy=(
        "Read its state: timedatectl timesync-status; chronyc tracking",
        "Switch it on: sudo timedatectl set-ntp true",
        "Name the lab's time server in /etc/systemd/timesyncd.conf (NTP=) where there is no Internet, then: "
        "sudo systemctl restart systemd-timesyncd",
    ),
    stage="host",
)
def test_the_clock_follows_a_reference(profile, evidence):
    state = clock.read()
    synchronised = evidence.record("clock is synchronised", state.synchronised, source="adjtimex(2)")
    assert synchronised.holds()
    error = evidence.record("largest possible error", state.max_error_s, unit="s", source="maxerror of adjtimex(2)")
    assert error <= profile.limit("clock.error")
