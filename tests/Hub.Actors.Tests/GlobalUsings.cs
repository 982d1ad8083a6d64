global using NodeStatus = AkkaHub.V1.NodeState;
