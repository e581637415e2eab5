"""Django applications of the portal; see docs/architecture for who may import whom."""
