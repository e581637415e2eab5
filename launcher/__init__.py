"""What starts, supervises and demonstrates the portal on one machine; standard library only, no Django.

``bootstrap`` installs, ``services`` runs PostgreSQL, Valkey and (for tests) SeaweedFS from their wheels,
``supervisor`` keeps the portal's processes alive, ``demo`` walks one model through its life over HTTP.
"""
