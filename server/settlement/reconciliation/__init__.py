"""Do our books, the insurer's and the terminals' say the same? Compared all day, and each difference followed up."""
