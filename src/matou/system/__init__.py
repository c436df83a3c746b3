"""What is asked of Linux, the same by all: durable files, addresses, processes that end with their parent."""
