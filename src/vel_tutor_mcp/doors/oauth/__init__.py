"""OAuth over HTTP: the page on which people sign in and decide, and the endpoints of clients."""
