#pragma once
#include "IWebSocket.h"

class FWebSocketsModule
{
public:
	TSharedPtr<IWebSocket> CreateWebSocket(const FString&, const TArray<FString>&, const TMap<FString, FString>&) { return {}; }
};
