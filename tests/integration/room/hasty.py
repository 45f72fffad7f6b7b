"""The `dgxcert` command, which gives up a host that is gone sooner than a lab would want, and looks less often.

A room's limits are minutes, since switches and machines start again meanwhile; a host that plays a lost one stays lost.
A look takes this computer 1.5 s of a core, which the hosts need that it plays.
"""

import sys
from dataclasses import replace

from dgxcert.cli import main
from dgxcert.room.conduct import pace

GIVE_UP_S = 5.0
LOOK_S = 15.0

if __name__ == "__main__":
    pace.QUICK = replace(pace.QUICK, look_s=LOOK_S, give_up_s=GIVE_UP_S, tries=2)
    sys.exit(main())
