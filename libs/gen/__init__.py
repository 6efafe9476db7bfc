"""Code that protoc wrote from protos/: never edited, made anew by `make generate`."""
