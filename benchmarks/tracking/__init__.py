"""What films of people become: tracked motion beside the truth, speed, and styles that are like."""
