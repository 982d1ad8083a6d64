// Whether a node is there, as clients see it; the name NodeState is our own class of durable facts.
global using NodeStatus = AkkaHub.V1.NodeState;
