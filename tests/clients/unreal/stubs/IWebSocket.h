#pragma once
#include "CoreMinimal.h"

template <class... A> struct TStubEvent
{
	template <class O, class F> void AddWeakLambda(O*, F Function) { std::function<void(A...)> Fits = Function; (void)Fits; }
	void Clear() {}
};

class IWebSocket
{
public:
	virtual ~IWebSocket() = default;
	virtual void Connect() = 0;
	virtual void Close(int32 Code = 1000, const FString& Reason = FString()) = 0;
	virtual bool IsConnected() = 0;
	virtual void Send(const FString& Data) = 0;
	virtual void Send(const void* Data, SIZE_T Size, bool bIsBinary = false) = 0;
	virtual TStubEvent<const FString&>& OnConnectionError() = 0;
	virtual TStubEvent<int32, const FString&, bool>& OnClosed() = 0;
	virtual TStubEvent<const FString&>& OnMessage() = 0;
	virtual TStubEvent<const void*, SIZE_T, bool>& OnBinaryMessage() = 0;
};
