"""A small PanDA: the contract of panda-server 1.0.4 with a JEDI behind it, for one machine."""
