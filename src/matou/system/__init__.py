"""What is asked of Linux, the same by all: files that survive a crash, processes that end with their parent."""
