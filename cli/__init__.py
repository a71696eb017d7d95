"""The command line of packmule: the only part that talks to a screen."""

import gc

# What a command imports stays until its end; looking through it again and again for garbage, as is usual,
# takes a tenth of the start.
gc.set_threshold(50_000, 10, 10)
