"""What the tests share: servers, processes of the service, and clients."""
