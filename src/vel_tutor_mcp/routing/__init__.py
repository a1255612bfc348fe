"""Which model answers: catalog, features, policy, health, money and the router that tries candidates in order."""
