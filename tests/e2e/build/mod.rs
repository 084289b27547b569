//! Builds: Dockerfiles become images, by each door.

mod classic;
