"""The models of the plans: bundles, arms, and the loaded plan that answers a batch."""
