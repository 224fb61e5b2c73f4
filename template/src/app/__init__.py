"""The service's root package."""

import gc

# Nearly all that start-up makes stays, so looking for garbage every 700 objects finds none and
# takes a fifth of its time.
gc.set_threshold(50_000)
