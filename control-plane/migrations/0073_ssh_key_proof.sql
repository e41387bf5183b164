-- Who registers an SSH key proves that it is theirs. Keys from before are not proven: they go on to open, and yield to proof.
ALTER TABLE ssh_keys ADD COLUMN proved boolean NOT NULL DEFAULT false;
ALTER TABLE ssh_keys ALTER COLUMN proved DROP DEFAULT;

-- What has ended is forgotten after the time that the operator says, oldest first.
CREATE INDEX ssh_sessions_ended ON ssh_sessions (ended_at) WHERE ended_at IS NOT NULL;
