"""What happens to a version once it is trained, from activation to retention."""
