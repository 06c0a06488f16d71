"""The demo: the guide, played step by step on an ECS of this machine, each step checked. `make demo` runs it."""
