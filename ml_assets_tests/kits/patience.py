"""How long tests wait for what is sure to come, in seconds."""

# A machine that is slow, or does much else, takes several times what an idle one does;
# only a test that fails waits so long.
PATIENCE = 400.0
