libupper.so: upper.c ringway_plugin.h
	cc -O2 -Wall -Wextra -shared -fPIC -o $@ upper.c
