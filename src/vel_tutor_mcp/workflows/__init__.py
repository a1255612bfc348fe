"""What a workflow's definition says: its conditions and texts, over what is known of a run. (Pure.)"""
