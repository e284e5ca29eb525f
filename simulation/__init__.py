"""The storm: the live system in simulated time, with a broker, a disk and a process that fail as a seed says, and an oracle that watches.

The production core, tree and actors are what is tested. Nothing below this floor imports it.
"""
