// Moves the morph targets of its actor's skeletal meshes. Never compiled with the engine.
#pragma once

#include "Components/ActorComponent.h"
#include "CoreMinimal.h"
#include "PosetalkWire.h"

#include "PosetalkComponent.generated.h"

class IWebSocket;
class USkeletalMeshComponent;

DECLARE_DYNAMIC_MULTICAST_DELEGATE(FPosetalkFrame);
DECLARE_DYNAMIC_MULTICAST_DELEGATE_TwoParams(FPosetalkError, const FString&, Code, const FString&, Message);

UCLASS(ClassGroup = (Animation), meta = (BlueprintSpawnableComponent))
class POSETALK_API UPosetalkComponent : public UActorComponent
{
	GENERATED_BODY()

public:
	UPosetalkComponent();

	/** Where posetalk serves. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Posetalk")
	FString Url = TEXT("ws://127.0.0.1:8765");

	/** What the server was started with, if anything. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Posetalk")
	FString Token;

	/** Seconds that frames are held back, to play evenly. Delay the sound as much. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Posetalk", meta = (ClampMin = "0", ClampMax = "1"))
	float Delay = 0.12f;

	/** A voice of its own: what this component pushes, and nobody else. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Posetalk")
	bool bOwnSession = false;

	/** By name or as a mix, with a session of its own; empty: the server's. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Posetalk")
	FString OwnStyle;

	/** How the head turns, for your animation blueprint: looks along +X. */
	UPROPERTY(BlueprintReadOnly, Category = "Posetalk")
	FRotator HeadRotation = FRotator::ZeroRotator;

	/** A new face is shown. */
	UPROPERTY(BlueprintAssignable, Category = "Posetalk")
	FPosetalkFrame OnFrame;

	/** What the server refuses, or why it cannot be used. */
	UPROPERTY(BlueprintAssignable, Category = "Posetalk")
	FPosetalkError OnError;

	/** The weight of an ARKit channel as it is shown now; 0 for one that is not there. */
	UFUNCTION(BlueprintPure, Category = "Posetalk")
	float GetChannel(const FString& Name) const;

	/** Be silent now. */
	UFUNCTION(BlueprintCallable, Category = "Posetalk")
	void Interrupt();

	UFUNCTION(BlueprintCallable, Category = "Posetalk")
	void SetStyle(const FString& Style);

	/** Have this sound spoken: mono, -1..1. */
	UFUNCTION(BlueprintCallable, Category = "Posetalk")
	void PushSound(const TArray<float>& Samples, int32 SampleRate);

	virtual void BeginPlay() override;
	virtual void EndPlay(const EEndPlayReason::Type Reason) override;
	virtual void TickComponent(float Seconds, ELevelTick Type, FActorComponentTickFunction* Function) override;

private:
	void Dial();
	void Lost();
	void ReceiveText(const FString& Text);
	void ReceiveBinary(const void* Data, SIZE_T Size, bool bIsLast);
	void GiveUp(const FString& Code, const FString& Message);
	void Map();
	void Show();
	void Say(const FString& Json);

	struct FTarget
	{
		TWeakObjectPtr<USkeletalMeshComponent> Mesh;
		FName Morph;
		int32 Channel;
	};

	TSharedPtr<IWebSocket> Socket;
	TArray<uint8> Received;
	TArray<FString> Channels;
	TArray<FTarget> Targets;
	posetalk::PlayOut PlayOut;
	std::vector<float> Values;
	bool bGreeted = false;
	bool bHopeless = false;
	bool bTold = false; // that nobody answers
	bool bDialling = false;
	double RetryAt = 0;
	double Wait = 0.25;
	int32 Rate = posetalk::SampleRate;
	uint32 Pushed = 0;
};
