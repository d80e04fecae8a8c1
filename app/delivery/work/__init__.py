"""Taking messages in and answering them."""
