"""The review gate: a person looks at a round's clusters or drafts before it goes on."""
