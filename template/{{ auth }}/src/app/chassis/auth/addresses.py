"""Where requests come from."""

import ipaddress


def network_of(address: str) -> str:
    """One customer's address; with IPv6 that is a whole /64 to choose from."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    return str(parsed.ipv4_mapped or f"{int(parsed) >> 64:x}::/64")
