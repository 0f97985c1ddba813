"""An office day, played against the real service over real sockets: the emulators are the two worlds."""
