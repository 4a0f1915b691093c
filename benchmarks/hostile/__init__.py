"""Files made to do harm, each read by its command in a process with little memory."""
