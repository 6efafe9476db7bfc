"""How does a destination take members? One module for each type; not when, nor which members."""
