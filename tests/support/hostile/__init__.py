"""Files made to do harm, and a process with little memory that reads them."""
