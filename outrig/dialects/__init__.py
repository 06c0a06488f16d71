"""The languages users write in. A dialect is a package, a kind a file in it; dialects never import each other."""
